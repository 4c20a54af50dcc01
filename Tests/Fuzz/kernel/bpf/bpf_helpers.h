/* libbpf's header of the same name, for deliver.bpf.c as a program of its own: the kernel's helpers are functions of
   ../deliver.c. */
#pragma once

#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define SEC(name)
#define __uint(name, value) int (*name)[value]
#define __type(name, value) typeof(value) *name

void *bpf_map_lookup_elem(void *map, const void *key);
long bpf_map_update_elem(void *map, const void *key, const void *value, __u64 flags);
void bpf_spin_lock(struct bpf_spin_lock *lock);
void bpf_spin_unlock(struct bpf_spin_lock *lock);
__s64 bpf_csum_diff(__be32 *from, __u32 from_size, __be32 *to, __u32 to_size, __u32 seed);
long bpf_skb_load_bytes(const void *skb, __u32 offset, void *to, __u32 length);
long bpf_skb_store_bytes(struct __sk_buff *skb, __u32 offset, const void *from, __u32 length, __u64 flags);
long bpf_skb_change_tail(struct __sk_buff *skb, __u32 length, __u64 flags);
long bpf_skb_adjust_room(struct __sk_buff *skb, __s32 difference, __u32 mode, __u64 flags);
long bpf_skb_vlan_push(struct __sk_buff *skb, __be16 protocol, __u16 control);
long bpf_skb_vlan_pop(struct __sk_buff *skb);
long bpf_check_mtu(void *skb, __u32 interface, __u32 *mtu, __s32 difference, __u64 flags);
long bpf_redirect(__u32 interface, __u64 flags);
