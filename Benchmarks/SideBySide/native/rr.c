/* rr server ADDRESS PORT CPU | rr client ADDRESS PORT SECONDS CPU: one byte there, one byte back, over one TCP connection and one
   at a time: how many in a second, and how long each takes. What is in the middle of it costs twice. The client prints JSON;
   the server serves one connection after the other until it is ended. CPU -1: anywhere. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUCKETS = 100000 }; /* of 100 ns */

static unsigned buckets[BUCKETS];

static void fail(const char *what)
{
    fprintf(stderr, "rr: %s: %s\n", what, strerror(errno));
    exit(1);
}

static unsigned long long now(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static void pin(int cpu)
{
    cpu_set_t set;

    if (cpu < 0)
        return;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set))
        fail("pin to the CPU");
}

static void serve(struct sockaddr_in *at)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    char byte;

    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)at, sizeof *at) || listen(listener, 8))
        fail("listen");
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        int peer = accept(listener, 0, 0);

        if (peer < 0)
            fail("accept");
        setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        while (read(peer, &byte, 1) == 1 && write(peer, &byte, 1) == 1)
            ;
        close(peer);
    }
}

static double quantile(double share, unsigned long long count)
{
    unsigned long long wanted = share * count, so_far = 0;

    for (int bucket = 0; bucket < BUCKETS; bucket++) {
        so_far += buckets[bucket];
        if (so_far >= wanted && so_far > 0)
            return (bucket + 1) / 10.0;
    }
    return 0;
}

static void ask(struct sockaddr_in *at, double seconds)
{
    int server = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    unsigned long long count = 0, begin, end, last, burned, length = seconds * 1e9;
    char byte = 'x';

    if (connect(server, (struct sockaddr *)at, sizeof *at))
        fail("connect");
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    begin = last = now(CLOCK_MONOTONIC);
    burned = now(CLOCK_PROCESS_CPUTIME_ID);
    do {
        if (write(server, &byte, 1) != 1 || read(server, &byte, 1) != 1)
            fail("the connection ended");
        end = now(CLOCK_MONOTONIC);
        unsigned long long bucket = (end - last) / 100;
        buckets[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
        count++;
        last = end;
    } while (end - begin < length);
    printf("{\"transactions\": %llu, \"seconds\": %.6f, \"cpu_ns\": %llu, \"p50_us\": %.1f, \"p99_us\": %.1f}\n", count,
           (end - begin) / 1e9, now(CLOCK_PROCESS_CPUTIME_ID) - burned, quantile(0.5, count), quantile(0.99, count));
}

int main(int argc, char **argv)
{
    int is_server = argc == 5 && !strcmp(argv[1], "server");

    if (!is_server && !(argc == 6 && !strcmp(argv[1], "client"))) {
        fprintf(stderr, "usage: rr server ADDRESS PORT CPU | rr client ADDRESS PORT SECONDS CPU\n");
        return 2;
    }
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[3]))};

    if (inet_pton(AF_INET, argv[2], &at.sin_addr) != 1)
        return 2;
    pin(atoi(argv[argc - 1]));
    if (is_server)
        serve(&at);
    ask(&at, atof(argv[4]));
    return 0;
}
