/* libpcap for Swift: its compiler of filter expressions. libbpf and the kernel have other structs of the same names. */
#pragma once
#define bpf_program pcap_bpf_program
#define bpf_insn pcap_bpf_insn
#include <pcap/pcap.h>
#undef bpf_program
#undef bpf_insn
