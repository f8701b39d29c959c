/* SPDX-License-Identifier: MIT */
/* What came of a simulation. */
#ifndef CLI_SIMULATE_REPORT_H
#define CLI_SIMULATE_REPORT_H

#include "device/device.h"

struct simulate_end {
    const struct device *devices; /* joined */
    uint32_t count;
    const struct device_settings *settings; /* of all of them */
    double seconds;
    bool interrupted;
};

/* Prints it, as text or as a document in JSON, and the dead ones on stderr; returns the exit
 * status. */
int simulate_report(const struct simulate_end *end, bool json);

#endif
