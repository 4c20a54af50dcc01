/* libbpf for Swift: the library's headers, and its option structs behind static inline functions,
   because the macros that declare them do not import. */
#pragma once
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
