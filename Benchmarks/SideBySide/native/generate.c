/* generate DEVICE DST-MAC SIZE|imix FLOWS COUNT SECONDS RATE CPU: sends frames as a process in a container does (one
   skb a frame) from a packet socket, and prints what it did as JSON. COUNT 0: until SECONDS are over; RATE 0: as fast
   as it goes, 32 frames a system call; with a RATE (frames a second) one a call, stamped and evenly spaced. CPU -1:
   anywhere. After it on the way: the veth, the host's mirror, sink.c. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "template.h"

enum { BATCH = 32 };

static __u8 bytes[BATCH][LONGEST_FRAME];
static struct mmsghdr messages[BATCH];
static struct iovec vectors[BATCH];
/* Simple IMIX, 7:4:1, spread so that every twelve frames hold it. */
static const int imix[12] = {64, 594, 64, 64, 594, 64, 1500, 64, 594, 64, 594, 64};

static __u64 now(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static void fill(int slot, const __u8 *destination, int size, int flow, __u64 sequence, __u64 sent)
{
    struct frame *frame = (struct frame *)bytes[slot];

    if (vectors[slot].iov_len != (size_t)size) {
        make_frame(frame, destination, size);
        vectors[slot].iov_len = size;
    }
    frame->udp.source = htons(1024 + flow);
    frame->sequence = sequence;
    frame->sent = sent;
}

static void fail(const char *what)
{
    fprintf(stderr, "generate: %s: %s\n", what, strerror(errno));
    exit(1);
}

int main(int argc, char **argv)
{
    if (argc != 9) {
        fprintf(stderr, "usage: generate DEVICE DST-MAC SIZE|imix FLOWS COUNT SECONDS RATE CPU\n");
        return 2;
    }
    __u8 mac[6];
    int fixed = strcmp(argv[3], "imix") ? atoi(argv[3]) : 0, flows = atoi(argv[4]), cpu = atoi(argv[8]);
    __u64 count = strtoull(argv[5], 0, 10), length = atof(argv[6]) * 1e9, rate = strtoull(argv[7], 0, 10);
    __u64 sent = 0, calls = 0, refused = 0;
    int batch = rate ? 1 : BATCH;

    if (sscanf(argv[2], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5) != 6
        || flows < 1 || flows > 60000 || (fixed && (fixed < (int)sizeof(struct frame) || fixed > LONGEST_FRAME))) {
        fprintf(stderr, "generate: an argument is out of range\n");
        return 2;
    }
    if (cpu >= 0) {
        cpu_set_t set;

        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
        if (sched_setaffinity(0, sizeof set, &set))
            fail("pin to the CPU");
    }
    int one = socket(AF_PACKET, SOCK_RAW, 0);
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(argv[1])};
    int room = 64 << 20;

    if (one < 0 || bind(one, (struct sockaddr *)&to, sizeof to))
        fail(argv[1]);
    setsockopt(one, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    for (int slot = 0; slot < BATCH; slot++) {
        vectors[slot].iov_base = bytes[slot];
        messages[slot].msg_hdr.msg_iov = &vectors[slot];
        messages[slot].msg_hdr.msg_iovlen = 1;
    }
    __u64 begin = now(CLOCK_MONOTONIC), burned = now(CLOCK_PROCESS_CPUTIME_ID), end = begin;

    while (count ? sent < count : end - begin < length) {
        if (count && count - sent < (__u64)batch)
            batch = count - sent;
        if (rate) {
            __u64 due = begin + sent * 1000000000ull / rate;

            while ((end = now(CLOCK_MONOTONIC)) < due) {
                /* At a low rate the CPU is left to others. */
                if (due - end > 150000)
                    nanosleep(&(struct timespec){.tv_nsec = due - end > 999000000 ? 999000000 : due - end - 100000}, 0);
                else
                    __builtin_ia32_pause();
            }
        }
        for (int slot = 0; slot < batch; slot++) {
            __u64 number = sent + slot;

            fill(slot, mac, fixed ? fixed : imix[number % 12], number % flows, number + 1, rate ? end : 0);
        }
        for (int from = 0; from < batch;) {
            int done = sendmmsg(one, messages + from, batch - from, 0);

            calls++;
            if (done > 0)
                from += done;
            else if (errno == ENOBUFS || errno == EAGAIN)
                refused++; /* the way out is full: as an application does, once more */
            else
                fail("send");
        }
        sent += batch;
        end = now(CLOCK_MONOTONIC);
    }
    printf("{\"sent\": %llu, \"seconds\": %.6f, \"cpu_ns\": %llu, \"calls\": %llu, \"refused\": %llu}\n", sent,
           (end - begin) / 1e9, now(CLOCK_PROCESS_CPUTIME_ID) - burned, calls, refused);
    return 0;
}
