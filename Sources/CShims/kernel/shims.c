/* The shims are headers only; SwiftPM wants one source file in a C target. */
#include "cshims.h"
