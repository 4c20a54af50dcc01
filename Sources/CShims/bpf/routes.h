/* How copies toward each destination leave by the kernel alone. Shared by the programs that carry them. */
#pragma once
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "carry.h"

/* A hash, so that an entry is replaced whole while programs read the one before. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, HS_ROUTES);
    __type(key, __u32);
    __type(value, struct hs_route);
} routes SEC(".maps");
