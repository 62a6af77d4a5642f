#!/bin/bash
# The university's account.
if [ -n "$ZSH_VERSION" ]; then echo "Please use bash."; fi
read -p "User name: " OS_USERNAME_INPUT
export OS_USERNAME="$OS_USERNAME_INPUT"
read -rsp "Password: " OS_PASSWORD_INPUT
echo
export OS_PASSWORD="$OS_PASSWORD_INPUT"
unset OS_PASSWORD_INPUT OS_USERNAME_INPUT
set -a
OS_AUTH_URL=https://cloud.university.example:5000/v3 OS_PROJECT_NAME=course-12
OS_USER_DOMAIN_NAME=university OS_PROJECT_DOMAIN_NAME=Default
set +a
