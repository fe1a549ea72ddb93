/*
 * The list of built-in programs: PROGRAM(name) for each user/name.c. No include guard, on purpose.
 */
PROGRAM(hello)
PROGRAM(child)
PROGRAM(eat)
PROGRAM(badcall)
PROGRAM(badread)
PROGRAM(badinsn)
