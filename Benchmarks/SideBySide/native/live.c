/* live OBJECT DEVICE DST-MAC SIZE FLOWS SECONDS CPU: sends XDP frames (BPF_PROG_TEST_RUN with BPF_F_TEST_XDP_LIVE_FRAMES),
   64 a batch, as fast as it goes, and prints what it did as JSON, as generate.c does. Between its system calls the
   kernel waits for its page pools to go; the seconds are those in which frames were sent. */
#define _GNU_SOURCE
#include <sched.h>
#include <time.h>

#include "attach.h"
#include "template.h"

enum { LIVE_FRAMES = 1 << 1, BATCH = 64, STRETCH = 1 << 19 };

static __u64 now(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000ull + time.tv_nsec;
}

int main(int argc, char **argv)
{
    static __u8 bytes[LONGEST_FRAME];
    __u8 mac[6];

    if (argc != 8)
        return 2;
    int size = atoi(argv[4]), cpu = atoi(argv[7]);
    __u64 length = atof(argv[6]) * 1e9, sent = 0, calls = 0, sending = 0;
    cpu_set_t cpus;

    if (size < (int)sizeof(struct frame) || size > 3000) {
        fprintf(stderr, "live: an XDP frame has %zu to 3000 bytes\n", sizeof(struct frame));
        return 2;
    }
    CPU_ZERO(&cpus);
    CPU_SET(cpu < 0 ? 0 : cpu, &cpus);
    if (cpu >= 0 && sched_setaffinity(0, sizeof cpus, &cpus))
        give_up("pin to the CPU");
    struct bpf_object *object = open_object(argv[1]);
    struct live_constants *set = constants(object);

    set->device = index_of(argv[2]);
    set->flows = atoi(argv[5]);
    read_mac(argv[3], mac);
    make_frame(bytes, mac, size);
    if (bpf_object__load(object))
        give_up("load");
    int program = bpf_program__fd(bpf_object__find_program_by_name(object, "number"));
    struct xdp_md context = {.data_end = size};
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = bytes, .data_size_in = size, .ctx_in = &context,
                .ctx_size_in = sizeof context, .repeat = STRETCH, .flags = LIVE_FRAMES, .batch_size = BATCH);
    __u64 begin = now(CLOCK_MONOTONIC), burned = now(CLOCK_PROCESS_CPUTIME_ID), end = begin;

    for (; end - begin < length; end = now(CLOCK_MONOTONIC)) {
        int error = bpf_prog_test_run_opts(program, &options);

        if (error) {
            errno = -error;
            give_up("run live frames");
        }
        sent += STRETCH;
        sending += (__u64)options.duration * STRETCH;
        calls++;
    }
    printf("{\"sent\": %llu, \"seconds\": %.6f, \"cpu_ns\": %llu, \"calls\": %llu}\n", sent, sending / 1e9,
           now(CLOCK_PROCESS_CPUTIME_ID) - burned, calls);
    return 0;
}
