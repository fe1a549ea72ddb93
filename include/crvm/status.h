/*
 * Status codes: a function that can fail returns 0 or one of these, negative.
 * Any file may use it. The numbers are ABI: hypercalls return them.
 */
#pragma once

enum status {
	OK = 0,
	E_PERM = -1,
	E_NOENT = -2,  /* no such thing */
	E_IO = -5,     /* the hardware answered wrongly */
	E_NOMEM = -12, /* no memory, or a table is full */
	E_FAULT = -14, /* address out of range */
	E_BUSY = -16,  /* wrong state for this call */
	E_EXIST = -17,
	E_NODEV = -19,
	E_INVAL = -22,
	E_NOSYS = -38,	  /* not supported here */
	E_TIMEOUT = -110, /* the hardware did not answer */
};

/* "no memory", "bad parameter", ...: never NULL. */
const char *status_name(int status);
