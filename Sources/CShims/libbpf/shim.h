/* libbpf for Swift. Its option macros do not import; Swift zeroes the option structs itself and sets `sz`. */
#pragma once
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
