#!/usr/bin/env bash

DOMAIN_NAME=D
TENANT_NAME=T-1

OS_API_VERSION=2
OS_API_HOST=k.example

export OS_INSECURE=true

if [ -z "$OS_USER_DOMAIN_NAME" ]; then unset OS_USER_DOMAIN_NAME; fi

case ${OS_API_VERSION} in
    2)
        export OS_AUTH_URL=https://${OS_API_HOST}:13000/v2.0
        export OS_PROJECT_NAME="${TENANT_NAME}"
        export OS_TENANT_NAME="${TENANT_NAME}"
        export OS_IDENTITY_API_VERSION=2
        ;;
    3)
        export OS_AUTH_URL=https://${OS_API_HOST}:13000/v3
        unset OS_TENANT_ID
        ;;
esac

echo "Please enter your OpenStack User for project $OS_PROJECT_NAME: "
read -sr OS_USER_INPUT
export OS_USERNAME=$OS_USER_INPUT

echo "Please enter your OpenStack Password for project $OS_PROJECT_NAME as user $OS_USERNAME: "
read -sr OS_PASSWORD_INPUT
export OS_PASSWORD=$OS_PASSWORD_INPUT

export OS_REGION_NAME="regionOne"
if [ -z "$OS_REGION_NAME" ]; then unset OS_REGION_NAME; fi
