/* The frame that both sources send, but for its number: 198.51.100.1 to 198.51.100.2, UDP. */
#pragma once
#include <string.h>

#include "frame.h"

enum { LONGEST_FRAME = 9000 };

static inline __u16 ip_checksum(const void *header)
{
    const __u8 *byte = header;
    __u32 sum = 0;

    for (int at = 0; at < 20; at += 2)
        sum += byte[at] | byte[at + 1] << 8;
    sum = (sum & 0xffff) + (sum >> 16);
    return ~(sum + (sum >> 16));
}

static inline void make_frame(void *bytes, const __u8 *destination, int size)
{
    static const __u8 source[6] = {2, 0, 0, 0, 1, 1};
    struct frame *frame = bytes;

    memcpy(frame->ethernet.destination, destination, 6);
    memcpy(frame->ethernet.source, source, 6);
    frame->ethernet.type = __builtin_bswap16(0x0800);
    frame->ip = (struct ipv4){.version = 0x45, .ttl = 64, .protocol = 17, .length = __builtin_bswap16(size - 14)};
    frame->ip.source = __builtin_bswap32(0xc6336401);
    frame->ip.destination = __builtin_bswap32(0xc6336402);
    frame->ip.checksum = ip_checksum(&frame->ip);
    frame->udp.destination = __builtin_bswap16(BENCH_UDP_PORT);
    frame->udp.length = __builtin_bswap16(size - 34);
    frame->magic = __builtin_bswap32(BENCH_MAGIC);
}
