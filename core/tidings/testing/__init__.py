"""What tests of tidings and of its plugins stand on."""
