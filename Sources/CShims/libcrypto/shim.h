/* OpenSSL's libcrypto for Swift: SHA-256 and scrypt, of the machine's own packages. */
#pragma once
#include <openssl/evp.h>
#include <openssl/sha.h>
