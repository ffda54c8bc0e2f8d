/* Which tables this machine can run: CPUID, and the registers that the system saves (XCR0). */
#include "kernels/kernels.h"

#include "frcnn.h"

#include <stdatomic.h>
#include <string.h>

#ifdef FRCNN_KERNELS_X86 /* by the Makefile, where it builds them */
#include <cpuid.h>

static uint64_t saved_state(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t)high << 32 | low;
}

/* What look says, asked once: CPUID leaves a virtual machine each time, which takes tens of microseconds. */
static bool once(atomic_int *known, bool (*look)(void))
{
	enum { UNKNOWN, NO, YES };
	int state = atomic_load_explicit(known, memory_order_relaxed);

	if (state == UNKNOWN) {
		state = look() ? YES : NO;
		atomic_store_explicit(known, state, memory_order_relaxed);
	}
	return state == YES;
}

static bool look_for_avx2(void)
{
	unsigned a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d))
		return false;
	/* FMA, OSXSAVE, AVX, F16C; XMM and YMM state saved */
	if ((c & (1u << 12 | 1u << 27 | 1u << 28 | 1u << 29)) != (1u << 12 | 1u << 27 | 1u << 28 | 1u << 29))
		return false;
	if ((saved_state() & 0x6) != 0x6 || !__get_cpuid_count(7, 0, &a, &b, &c, &d))
		return false;
	return b & 1u << 5;
}

static bool has_avx2(void)
{
	static atomic_int known;

	return once(&known, look_for_avx2);
}

static bool look_for_avx512(void)
{
	unsigned a, b, c, d;

	/* F, DQ, BW, VL; opmask and ZMM state saved */
	return has_avx2() && (saved_state() & 0xe6) == 0xe6 && __get_cpuid_count(7, 0, &a, &b, &c, &d) &&
	       (b & (1u << 16 | 1u << 17 | 1u << 30 | 1u << 31)) == (1u << 16 | 1u << 17 | 1u << 30 | 1u << 31);
}

static bool has_avx512(void)
{
	static atomic_int known;

	return once(&known, look_for_avx512);
}

static bool look_for_vnni(void)
{
	unsigned a, b, c, d;

	return has_avx512() && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & 1u << 11);
}

static bool has_vnni(void)
{
	static atomic_int known;

	return once(&known, look_for_vnni);
}

static bool look_for_avxvnni(void)
{
	unsigned a, b, c, d;

	return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4);
}

static bool has_avxvnni(void)
{
	static atomic_int known;

	return once(&known, look_for_avxvnni);
}

static bool look_for_bf16(void)
{
	unsigned a, b, c, d;

	return has_avx512() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 5);
}

static bool has_bf16(void)
{
	static atomic_int known;

	return once(&known, look_for_bf16);
}
#endif

static bool always(void)
{
	return true;
}

/* Best first. A machine that runs one runs all behind it; names are those of it and them, and of the reference. */
static const struct {
	const struct frcnn_kernels *table;
	bool (*runs)(void);
	const char *names;
} tables[] = {
#ifdef FRCNN_KERNELS_X86
    {&frcnn_kernels_avx512, has_avx512, "avx512 avx2 c reference"},
    {&frcnn_kernels_avx2, has_avx2, "avx2 c reference"},
#endif
    {&frcnn_kernels_c, always, "c reference"},
};

const struct frcnn_kernels *frcnn_kernels_list(int i)
{
	for (size_t k = 0; k < sizeof tables / sizeof tables[0]; k++)
		if (tables[k].runs() && i-- == 0)
			return tables[k].table;
	return NULL;
}

const struct frcnn_kernels *frcnn_kernels_get(const char *name)
{
	const struct frcnn_kernels *table;

	for (int i = 0; (table = frcnn_kernels_list(i)); i++)
		if (!name || !strcmp(name, table->name))
			return table;
	return NULL;
}

const struct frcnn_kernels_bf16 *frcnn_kernels_bf16_get(const struct frcnn_kernels *kernels)
{
#ifdef FRCNN_KERNELS_X86
	if (kernels == &frcnn_kernels_avx512 && has_bf16())
		return &frcnn_kernels_avx512bf16;
#endif
	(void)kernels;
	return NULL;
}

/* Best first beside each set. */
static const struct {
	const struct frcnn_kernels *beside;
	const struct frcnn_kernels_int8 *table;
	bool (*runs)(void);
} int8_tables[] = {
#ifdef FRCNN_KERNELS_X86
    {&frcnn_kernels_avx512, &frcnn_kernels_avx512vnni, has_vnni},
    {&frcnn_kernels_avx512, &frcnn_kernels_avx512_int8, has_avx512},
    {&frcnn_kernels_avx2, &frcnn_kernels_avxvnni, has_avxvnni},
    {&frcnn_kernels_avx2, &frcnn_kernels_avx2_int8, has_avx2},
#endif
    {&frcnn_kernels_c, &frcnn_kernels_c_int8, always},
};

const struct frcnn_kernels_int8 *frcnn_kernels_int8_list(const struct frcnn_kernels *kernels, int i)
{
	for (size_t k = 0; k < sizeof int8_tables / sizeof int8_tables[0]; k++)
		if (int8_tables[k].beside == kernels && int8_tables[k].runs() && i-- == 0)
			return int8_tables[k].table;
	return NULL;
}

const struct frcnn_kernels_int8 *frcnn_kernels_int8_get(const struct frcnn_kernels *kernels)
{
	return frcnn_kernels_int8_list(kernels, 0);
}

const char *frcnn_kernels_built(void)
{
	return tables[0].names;
}

const char *frcnn_cpu_available(void)
{
	size_t k = 0;

	while (!tables[k].runs())
		k++;
	return tables[k].names;
}
