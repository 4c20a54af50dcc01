/* capture for kernels before 6.2 and for a dataplane without CAP_PERFMON: the same program without the fields of
   the kernel's own sk_buff. The worker then judges partial checksums by their value. */
#define HS_NO_KERNEL_FIELDS
#include "capture.bpf.c"
