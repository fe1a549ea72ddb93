/*
 * Sharing one CPU by weight (fair.c): arithmetic only. Knows no vCPU, no clock and no timer; times
 * are ticks of any kind that only grow. One CPU uses a queue.
 *
 * Each member has a virtual time, which grows while it runs: the faster, the smaller its weight.
 * The lowest runs, for a slice. One that wakes begins at most a slice behind what runs now, so
 * sleeping saves up no more than that; being the lowest then, it runs at once.
 */
#pragma once

#include <crvm/compiler.h>

#define FAIR_WEIGHT_STANDARD 100u

enum fair_state {
	FAIR_IDLE,  /* cannot run */
	FAIR_READY, /* could go on */
	FAIR_WOKEN, /* could after a sleep */
};

struct fair_member {
	struct fair_member *next; /* a ring */
	uint64_t vtime;
	unsigned weight; /* > 0 */
};

struct fair_queue {
	struct fair_member *ring;    /* any of the members; NULL: none */
	struct fair_member *current; /* ran last; may be NULL */
	uint64_t slice;		     /* ticks */
	uint64_t slice_end;	     /* of `current` */
	uint64_t floor;		     /* the highest virtual time that was the lowest: never falls */
};

/* It begins with no claim on the past. */
void fair_add(struct fair_queue *q, struct fair_member *m, unsigned weight);

/* It is a member no more. */
void fair_remove(struct fair_queue *q, struct fair_member *m);

/*
 * Who is to run now: the one that ran last while its slice lasts, unless one has woken that is
 * behind it; else the lowest. NULL: nobody can. Changes nothing.
 */
struct fair_member *fair_pick(const struct fair_queue *q, uint64_t now,
			      enum fair_state (*state)(struct fair_member *m));

/* It has woken and will run: its virtual time is set. */
void fair_wake(struct fair_queue *q, struct fair_member *m);

/* It runs from now on, until q->slice_end at most. */
void fair_begin(struct fair_queue *q, struct fair_member *m, uint64_t now);

/* It has run for so long. */
void fair_charge(struct fair_member *m, uint64_t ticks);
