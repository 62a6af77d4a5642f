# refused: line 4: the output of a command is wanted
export OS_AUTH_URL=https://auth.cloud.example/v3
export OS_USERNAME=me OS_PROJECT_NAME=p
export OS_PASSWORD=$(security find-generic-password -a ${OS_USERNAME} -s "Public Cloud" -w)
