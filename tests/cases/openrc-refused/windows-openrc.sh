# refused: line 1: lines end as on Windows
export OS_AUTH_URL=https://keystone.example/v3
