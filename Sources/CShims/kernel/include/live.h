/* Copies between a worker (LiveExit.swift) and live.bpf.c, in one mapped BPF array of one element. Compiled for BPF and
   imported by Swift alike. */
#pragma once
#include <linux/types.h>

enum {
    /* Copies of one run, a power of two. */
    HS_LIVE_MOST = 256,
    /* Bytes of a copy that fit into a frame of a page, beside what the kernel keeps in it (net/bpf/test_run.c). */
    HS_LIVE_LONGEST = 3072,
    /* Each begins on a cache line; one after the other, since equal distances would be the same few lines of a cache. */
    HS_LIVE_LINE = 64,
    HS_LIVE_ROOM = HS_LIVE_MOST * HS_LIVE_LONGEST,
    /* Bytes of a frame before the program has seen it: the least that BPF_PROG_RUN takes. */
    HS_LIVE_START = 14,
};

struct hs_live_copy {
    /* Behind the places of all copies. */
    __u32 offset, length;
};

/* Written by whoever is in the run: the worker outside of one, the program inside. */
struct hs_live_head {
    /* Numbers of the next copy, and of the one behind the last; modulo HS_LIVE_MOST their places. */
    __u64 next, end;
    /* Copies that could not be made frames of the uplink, ever. */
    __u64 refused;
    __u64 unused[5];
    struct hs_live_copy copies[HS_LIVE_MOST];
};
