# refused: line 4: $USER is a variable of your own shell
export OS_AUTH_URL=https://keystone.example/v3
export OS_USERNAME=me
export OS_PROJECT_NAME="Personal $USER"
export OS_PASSWORD=x
