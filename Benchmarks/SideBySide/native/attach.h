/* What every program here does with a BPF object: open, set constants, load, attach to tcx; and the outer header that
   a mirror puts in front of a copy. */
#pragma once
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"

enum { TCX_INGRESS = 46, TCX_EGRESS = 47 }; /* BPF_TCX_INGRESS, BPF_TCX_EGRESS: linux/bpf.h since 6.6 */

static inline void give_up(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static inline struct bpf_object *open_object(const char *path)
{
    struct bpf_object *object = bpf_object__open_file(path, 0);

    if (!object)
        give_up(path);
    return object;
}

/* The object's constants, to be set before it is loaded. */
static inline void *constants(struct bpf_object *object)
{
    struct bpf_map *map;
    size_t size;

    bpf_object__for_each_map(map, object) {
        if (strstr(bpf_map__name(map), ".rodata"))
            return (void *)bpf_map__initial_value(map, &size);
    }
    errno = ENOENT;
    give_up("no constants in the object");
    return 0;
}

static inline int attach(struct bpf_object *object, const char *program, int interface, int hook)
{
    int fd = bpf_program__fd(bpf_object__find_program_by_name(object, program));
    int link = bpf_link_create(fd, interface, (enum bpf_attach_type)hook, 0);

    if (link < 0)
        give_up(program);
    return link;
}

static inline int index_of(const char *device)
{
    int index = if_nametoindex(device);

    if (!index)
        give_up(device);
    return index;
}

static inline void read_mac(const char *text, __u8 *mac)
{
    if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5) != 6) {
        errno = EINVAL;
        give_up(text);
    }
}

/* 192.0.2.1 to 192.0.2.9, DF, lengths and checksum of IP left to the frame. */
static inline struct outer outer_header(const char *source, const char *destination, __u32 vni)
{
    struct outer outer = {
        .ethernet.type = __builtin_bswap16(0x0800),
        .ip = {.version = 0x45, .ttl = 64, .protocol = 17, .fragment = __builtin_bswap16(0x4000),
               .source = __builtin_bswap32(0xc0000201), .destination = __builtin_bswap32(0xc0000209)},
        .udp.destination = __builtin_bswap16(VXLAN_PORT),
        .vxlan = {.flags = __builtin_bswap32(0x08000000), .vni = __builtin_bswap32(vni << 8)},
    };

    read_mac(source, outer.ethernet.source);
    read_mac(destination, outer.ethernet.destination);
    return outer;
}

/* Sum of the IP header's words without its length, to be folded with it for each frame. */
static inline __u32 partial_sum(const struct ipv4 *ip)
{
    const __u8 *byte = (const __u8 *)ip;
    __u32 sum = 0;

    for (int at = 0; at < 20; at += 2)
        sum += at == 2 || at == 10 ? 0 : byte[at] | byte[at + 1] << 8;
    return sum;
}

/* As Heliostat's hash: equal for both directions of a flow. */
static inline __u32 flow_hash(const struct frame *frame)
{
    __u32 hash = frame->ip.source ^ frame->ip.destination ^ (__u32)(frame->udp.source ^ frame->udp.destination) << 7
               ^ frame->ip.protocol;

    hash *= 0x9e3779b1;
    return hash ^ hash >> 15;
}

/* Writes the outer header of a frame of `length` bytes in front of it; `sum` is partial_sum of `header`. */
static inline void encapsulate(struct outer *outer, const struct outer *header, __u32 sum, const struct frame *frame, __u32 length)
{
    *outer = *header;
    outer->ip.length = __builtin_bswap16(length + 36);
    sum += outer->ip.length;
    sum = (sum & 0xffff) + (sum >> 16);
    outer->ip.checksum = ~(sum + (sum >> 16));
    outer->udp.length = __builtin_bswap16(length + 16);
    outer->udp.source = __builtin_bswap16(49152 + (flow_hash(frame) & 16383));
}
