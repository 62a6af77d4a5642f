# refused: line 3: only a shell can decide
export OS_AUTH_URL=https://keystone.example/v3 OS_USERNAME=me OS_PASSWORD=p
if [ -f /etc/ca.pem ]; then
    export OS_CACERT=/etc/ca.pem
fi
