"""ios-mdm: keeps the TLS certificate pair (main and reserve) of iOS MDM servers alive."""
