/*
 * Collects what keeps this machine from running VMs. Must not know what that could be, nor how it
 * is shown.
 */
#include <crvm/printf.h>
#include <crvm/string.h>
#include <crvm/verdict.h>

void verdict_add(struct verdict *v, const char *fact, const char *todo, const char *saw_fmt, ...)
{
	struct verdict_item *item;
	va_list ap;

	if (v->count >= VERDICT_MAX)
		return;
	item = &v->item[v->count++];
	str_copy(item->fact, sizeof(item->fact), fact, SIZE_MAX);
	str_copy(item->todo, sizeof(item->todo), todo, SIZE_MAX);
	va_start(ap, saw_fmt);
	str_vprintf(item->saw, sizeof(item->saw), saw_fmt, ap);
	va_end(ap);
}
