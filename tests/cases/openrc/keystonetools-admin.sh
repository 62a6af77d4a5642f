unset $(printenv | grep OS_ | awk 'BEGIN{FS="=";}{print $1;}')
export OS_IDENTITY_API_VERSION=3
export OS_USERNAME=admin
export OS_AUTH_URL=https://keystone.example/v3
export OS_DOMAIN_NAME=Default
export OS_USER_DOMAIN_NAME=Default
export OS_REGION_NAME=r1
echo -n "OS Password for ${OS_USERNAME}: "
read -s OS_PASSWORD
echo ""
export OS_PASSWORD=$OS_PASSWORD
