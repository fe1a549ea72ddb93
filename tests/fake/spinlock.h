/* What host tests may ask the fake spinlocks (spinlock.c). */
#pragma once

/* Locks held now: 0 whenever code under test has returned. */
unsigned fake_spin_held(void);

/* Forgets all held locks, after a panic that a test expected. */
void fake_spin_reset(void);
