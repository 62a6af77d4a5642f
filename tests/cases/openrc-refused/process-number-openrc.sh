# refused: line 3: `$$` is the number
export OS_AUTH_URL=https://keystone.example/v3 OS_USERNAME=me
export OS_PASSWORD="Pa$$w0rd"
