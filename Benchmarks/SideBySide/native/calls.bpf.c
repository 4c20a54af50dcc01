/* calls: how often one thread enters which system call. Before it: the raw tracepoint of every entry. After it: calls.c. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "calls.h"

/* Set before loading: the thread, and the namespace that its id is of. */
const volatile struct calls_constants set = {};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, BENCH_CALLS);
    __type(key, __u32);
    __type(value, __u64);
} calls SEC(".maps");

SEC("raw_tp/sys_enter")
int enter(struct bpf_raw_tracepoint_args *at)
{
    struct bpf_pidns_info who;
    __u32 number = at->args[1];
    __u64 *count;

    if (bpf_get_ns_current_pid_tgid(set.device, set.inode, &who, sizeof who) || who.pid != set.thread)
        return 0;
    count = bpf_map_lookup_elem(&calls, &number);
    if (count)
        (*count)++;
    return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
