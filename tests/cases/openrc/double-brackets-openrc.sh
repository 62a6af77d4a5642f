export OS_AUTH_URL="https://k.example:35357/v3/"
export OS_PROJECT_ID="x"
    # Ask for credentials if it is not set already
    if [[ -z $OS_USERNAME ]] || [[ -z $OS_PASSWORD ]]; then
        echo "Username for project $OS_PROJECT_ID: "
        read -sr OS_USERNAME_INPUT
        export OS_USERNAME=$OS_USERNAME_INPUT

        echo "Please enter your OpenStack Password for project $OS_PROJECT_ID as user $OS_USERNAME: "
        read -sr OS_PASSWORD_INPUT
        export OS_PASSWORD=$OS_PASSWORD_INPUT
    fi  
