export OS_AUTH_URL=https://k.example:5000/v2.0
unset OS_PROJECT_ID
echo "Please enter your OpenStack Tenant name: "
read -r OS_TENANTNAME_INPUT
export OS_TENANT_NAME=$OS_TENANTNAME_INPUT
echo "Please enter your OpenStack Username: "
read -r OS_USERNAME_INPUT
export OS_USERNAME=${OS_USERNAME_INPUT}
echo "Please enter your OpenStack Password: "
read -sr OS_PASSWORD_INPUT
export OS_PASSWORD=$OS_PASSWORD_INPUT
