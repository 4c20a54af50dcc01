/* calls OBJECT THREAD: counts the system calls of one thread with calls.bpf.c, without stopping it as a tracer does. Each line
   on standard input is answered with the counts since the last one, as JSON by number. Ends at end of input. */
#include <sys/stat.h>

#include "attach.h"
#include "calls.h"

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    struct bpf_object *object = open_object(argv[1]);
    struct calls_constants *set = constants(object);
    struct stat namespace;

    if (stat("/proc/self/ns/pid", &namespace))
        give_up("/proc/self/ns/pid");
    *set = (struct calls_constants){.device = namespace.st_dev, .inode = namespace.st_ino, .thread = atoi(argv[2])};
    if (bpf_object__load(object))
        give_up("load");
    int map = bpf_object__find_map_fd_by_name(object, "calls");

    if (bpf_raw_tracepoint_open("sys_enter", bpf_program__fd(bpf_object__find_program_by_name(object, "enter"))) < 0)
        give_up("attach to sys_enter");
    printf("ready\n");
    fflush(stdout);
    for (char line[64]; fgets(line, sizeof line, stdin);) {
        const char *comma = "";

        printf("{");
        for (__u32 number = 0; number < BENCH_CALLS; number++) {
            __u64 count = 0, none = 0;

            bpf_map_lookup_elem(map, &number, &count);
            bpf_map_update_elem(map, &number, &none, 0);
            if (count) {
                printf("%s\"%u\": %llu", comma, number, count);
                comma = ", ";
            }
        }
        printf("}\n");
        fflush(stdout);
    }
    return 0;
}
