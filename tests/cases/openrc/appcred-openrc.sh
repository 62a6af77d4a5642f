#!/usr/bin/env bash

export OS_AUTH_TYPE=v3applicationcredential
export OS_AUTH_URL=https://keystone.example/v3
export OS_IDENTITY_API_VERSION=3
export OS_REGION_NAME="eu-1"
export OS_INTERFACE=public
export OS_APPLICATION_CREDENTIAL_ID=3e2a1f
export OS_APPLICATION_CREDENTIAL_SECRET=5Ab-_x
export OS_CACERT=/etc/ssl/ca.pem
