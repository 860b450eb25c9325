/* SPDX-License-Identifier: Apache-2.0 */
/* control.h - the whole program: the control thread and the workers. */
#pragma once

/* Runs the gateway with this configuration file until it is told to stop.  The exit status of the program. */
int control_run(const char *config_file);
/* --check: reads the file and says whether it is good.  The exit status of the program. */
int control_check(const char *config_file);
