/*
 * What happens after a panic, as the command line says.
 */
#pragma once

#include <crvm/cmdline.h>

void panic_set_action(enum panic_action a);
