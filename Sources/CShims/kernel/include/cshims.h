/* What Swift cannot say of the kernel's interface: included by the one module map of this folder. */
#pragma once
#include "carry.h"
#include "host.h"
#include "lab.h"
#include "packet.h"
#include "record.h"
#include "worker.h"
