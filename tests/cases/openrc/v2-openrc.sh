#!/bin/bash
# With the addition of Keystone, to use an openstack cloud you should
# authenticate against keystone.
export OS_AUTH_URL=http://10.0.0.1:5000/v2.0
export OS_TENANT_ID=1c2b3a
export OS_TENANT_NAME="demo"
export OS_USERNAME="demo"
export OS_PASSWORD='p$ss "w"ord'
if [ -z "$OS_REGION_NAME" ]; then unset OS_REGION_NAME; fi
