# refused: line 4: $HOME is a variable of your own shell
export OS_AUTH_URL=https://keystone.example/v3
export OS_USERNAME=me OS_PASSWORD=p OS_PROJECT_NAME=p
export OS_CACERT=$HOME/ca.pem
