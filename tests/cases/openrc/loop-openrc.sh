if [[ "${BASH_SOURCE[0]}" == "${0}" ]]; then echo "source me"; exit 1; fi
REGION=${REGION:-two}
case "$REGION" in
  one) export OS_AUTH_URL=https://one.example/v3 ;;
  two|three) export OS_AUTH_URL="https://${REGION}.example/v3" ;;
  *) return 1 ;;
esac
export OS_USERNAME=me OS_PROJECT_NAME=p
while [ -z "$OS_PASSWORD" ]; do
  echo -n "Password: " >&2
  stty -echo 2>/dev/null
  read -r OS_PASSWORD
  stty echo 2>/dev/null
done
export OS_PASSWORD
for name in OS_PROJECT_DOMAIN_NAME OS_USER_DOMAIN_NAME; do export "$name=Default"; done
return 0
export OS_AUTH_URL=https://never.example
