/* What calls.bpf.c and calls.c agree on. */
#pragma once
#include <linux/types.h>

enum { BENCH_CALLS = 512 };

struct calls_constants {
    __u64 device, inode;
    __u32 thread, pad;
};
