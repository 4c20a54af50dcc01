/* capture of an `xdp` port's ingress: the same program in the driver, before there is an sk_buff. What the port sends is
   copied by capture.bpf.c. The maps are those of capture.bpf.c (CaptureXDP.swift). */
#define HS_XDP
#include "capture.bpf.c"
