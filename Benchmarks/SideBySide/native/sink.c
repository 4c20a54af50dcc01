/* sink OBJECT DEVICE [VNI]: attaches sink.bpf.c to DEVICE and answers lines on standard input with its counters as
   JSON: "read" for the sums, "latency" for the filled buckets of 100 ns, "clear" to begin at zero. Ends at end of input. */
#include <sys/mman.h>

#include "attach.h"

static struct seen sum_of(const struct seen *cpus)
{
    struct seen sum = {0};

    for (int cpu = 0; cpu < BENCH_CPUS; cpu++) {
        const __u64 *from = (const __u64 *)&cpus[cpu];
        __u64 *to = (__u64 *)&sum;

        for (size_t word = 0; word < sizeof sum / 8; word++)
            to[word] += __atomic_load_n(&from[word], __ATOMIC_RELAXED);
    }
    return sum;
}

int main(int argc, char **argv)
{
    if (argc != 3 && argc != 4)
        return 2;
    struct bpf_object *object = open_object(argv[1]);
    struct sink_constants *set = constants(object);

    set->vni = argc == 4 ? atoi(argv[3]) : 0;
    set->is_tunnelled = argc == 4;
    if (bpf_object__load(object))
        give_up("load");
    int map = bpf_object__find_map_fd_by_name(object, "seen_by_cpu");
    size_t bytes = (BENCH_CPUS * sizeof(struct seen) + 4095) & ~4095ul;
    struct seen *cpus = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);

    if (cpus == MAP_FAILED)
        give_up("map the counters");
    attach(object, "sink", index_of(argv[2]), TCX_INGRESS);
    printf("ready\n");
    fflush(stdout);
    for (char line[64]; fgets(line, sizeof line, stdin);) {
        if (line[0] == 'c') {
            memset(cpus, 0, BENCH_CPUS * sizeof *cpus);
            printf("{}\n");
        } else if (line[0] == 'l') {
            struct seen sum = sum_of(cpus);
            const char *comma = "";

            printf("{");
            for (int bucket = 0; bucket < BENCH_BUCKETS; bucket++) {
                if (sum.latency[bucket]) {
                    printf("%s\"%d\": %llu", comma, bucket, sum.latency[bucket]);
                    comma = ", ";
                }
            }
            printf("}\n");
        } else {
            struct seen sum = sum_of(cpus);

            printf("{\"frames\": %llu, \"bytes\": %llu, \"bad\": %llu, \"other\": %llu, \"other_bytes\": %llu, "
                   "\"sequences\": %llu}\n",
                   sum.frames, sum.bytes, sum.bad, sum.other, sum.other_bytes, sum.sequences);
        }
        fflush(stdout);
    }
    return 0;
}
