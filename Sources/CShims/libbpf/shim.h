/* libbpf for Swift. Its option macros do not import; Swift fills the option structs itself (optionsSize). */
#pragma once
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
