/* The programs of arrays, maps and objects. */

#include "kernels.h"

#include <math.h>
#include <stdlib.h>

uint64_t kernel_nsieve(args_t args) {
    int64_t n = args[0], count = 0;
    uint8_t *flags = malloc(n);
    memset(flags, 1, n);
    for (int64_t i = 2; i < n; i++) {
        if (flags[i]) {
            count++;
            for (int64_t j = i + i; j < n; j += i)
                flags[j] = 0;
        }
    }
    free(flags);
    return count;
}

static int64_t count_flips(int64_t *p) {
    int64_t flips = 0, k = p[0];
    while (k != 0) {
        int64_t lo = 0, hi = k;
        while (lo < hi) {
            int64_t x = p[lo], y = p[hi];
            p[lo] = y;
            p[hi] = x;
            lo++;
            hi--;
        }
        flips++;
        k = p[0];
    }
    return flips;
}

static int64_t fannkuch(int64_t n, int64_t *p, int64_t *q, int64_t *count) {
    for (int64_t i = 0; i < n; i++)
        p[i] = i;
    int64_t sum = 0, most = 0, sign = 1, r = n;
    for (;;) {
        while (r > 1) {
            count[r - 1] = r;
            r--;
        }
        for (int64_t i = 0; i < n; i++)
            q[i] = p[i];
        int64_t flips = count_flips(q);
        if (flips > most)
            most = flips;
        sum += flips * sign;
        sign = -sign;
        for (;;) {
            if (r >= n)
                return sum * 100 + most;
            int64_t first = p[0];
            for (int64_t i = 0; i < r; i++)
                p[i] = p[i + 1];
            p[r] = first;
            if (--count[r] > 0)
                break;
            r++;
        }
    }
}

uint64_t kernel_fannkuch(args_t args) {
    int64_t n = args[0];
    int64_t *p = calloc(n, sizeof *p), *q = calloc(n, sizeof *q), *count = calloc(n, sizeof *count);
    int64_t result = fannkuch(n, p, q, count);
    free(p);
    free(q);
    free(count);
    return result;
}

static double *matrix(int64_t n, double plus) {
    double *m = calloc(n * n, sizeof *m), scale = n * n;
    int64_t k = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            m[k++] = (i - j) * (i + j) / scale + plus;
    return m;
}

uint64_t kernel_matrix_mul(args_t args) {
    int64_t n = args[0], ct = 0;
    double *a = matrix(n, 0), *b = matrix(n, 1), *c = calloc(n * n, sizeof *c);
    for (int64_t row = 0; row < n * n; row += n) {
        for (int64_t j = 0; j < n; j++) {
            double sum = 0;
            int64_t bt = j;
            for (int64_t at = row; at < row + n; at++) {
                sum += a[at] * b[bt];
                bt += n;
            }
            c[ct++] = sum;
        }
    }
    double sum = 0;
    for (int64_t i = 0; i < n * n; i++)
        sum += c[i];
    free(a);
    free(b);
    free(c);
    return bits(sum);
}

enum { BODIES = 5 };

/* The sun, Jupiter, Saturn, Uranus and Neptune: places, speeds a day, masses in suns. */
static const double BODY[BODIES][7] = {
    {0, 0, 0, 0, 0, 0, 1},
    {4.84143144246472090e+00, -1.16032004402742839e+00, -1.03622044471123109e-01, 1.66007664274403694e-03,
     7.69901118419740425e-03, -6.90460016972063023e-05, 9.54791938424326609e-04},
    {8.34336671824457987e+00, 4.12479856412430479e+00, -4.03523417114321381e-01, -2.76742510726411899e-03,
     4.99852801234917238e-03, 2.30417297573763929e-05, 2.85885980666130812e-04},
    {1.28943695621391310e+01, -1.51111514016986312e+01, -2.23307578892655734e-01, 2.96460137564761618e-03,
     2.37847173959480950e-03, -2.96589568540237556e-05, 4.36624404335156298e-05},
    {1.53796971148509165e+01, -2.59193146099879641e+01, 1.79258772950371181e-01, 2.68067772490389322e-03,
     1.62824170038242295e-03, -9.51592254519715870e-05, 5.15138902046611451e-05},
};

/* An array for each place, speed and mass. */
struct system {
    double *x, *y, *z, *vx, *vy, *vz, *m;
};

static double *column(int k, double unit) {
    double *c = calloc(BODIES, sizeof *c);
    for (int i = 0; i < BODIES; i++)
        c[i] = BODY[i][k] * unit;
    return c;
}

static double *speeds(int k, const double *m) {
    double *v = column(k, 365.24), p = 0;
    for (int i = 0; i < BODIES; i++)
        p += v[i] * m[i];
    v[0] = -(p / m[0]);
    return v;
}

static void advance(int64_t steps, double dt, int64_t n, const struct system *s) {
    double *x = s->x, *y = s->y, *z = s->z, *vx = s->vx, *vy = s->vy, *vz = s->vz, *m = s->m;
    for (; steps > 0; steps--) {
        for (int64_t i = 0; i < n; i++) {
            double xi = x[i], yi = y[i], zi = z[i], mi = m[i], ui = vx[i], vi = vy[i], wi = vz[i];
            for (int64_t j = i + 1; j < n; j++) {
                double dx = xi - x[j], dy = yi - y[j], dz = zi - z[j];
                double d2 = dx * dx + dy * dy + dz * dz;
                double mag = dt / (d2 * sqrt(d2));
                double mj = m[j] * mag, mk = mi * mag;
                ui -= dx * mj;
                vi -= dy * mj;
                wi -= dz * mj;
                vx[j] += dx * mk;
                vy[j] += dy * mk;
                vz[j] += dz * mk;
            }
            vx[i] = ui;
            vy[i] = vi;
            vz[i] = wi;
            x[i] = xi + ui * dt;
            y[i] = yi + vi * dt;
            z[i] = zi + wi * dt;
        }
    }
}

static double energy(int64_t n, const struct system *s) {
    double *x = s->x, *y = s->y, *z = s->z, *vx = s->vx, *vy = s->vy, *vz = s->vz, *m = s->m, e = 0;
    for (int64_t i = 0; i < n; i++) {
        e += 0.5 * m[i] * (vx[i] * vx[i] + vy[i] * vy[i] + vz[i] * vz[i]);
        for (int64_t j = i + 1; j < n; j++) {
            double dx = x[i] - x[j], dy = y[i] - y[j], dz = z[i] - z[j];
            e -= m[i] * m[j] / sqrt(dx * dx + dy * dy + dz * dz);
        }
    }
    return e;
}

uint64_t kernel_n_body(args_t args) {
    int64_t steps = args[0];
    /* The number of bodies is the length of an array, no constant. */
    const volatile int64_t bodies = BODIES;
    int64_t n = bodies;
    double *m = column(6, 39.47841760435743);
    struct system s = {column(0, 1), column(1, 1), column(2, 1), speeds(3, m), speeds(4, m), speeds(5, m), m};
    advance(steps, 0.01, n, &s);
    double e = energy(n, &s);
    free(s.x);
    free(s.y);
    free(s.z);
    free(s.vx);
    free(s.vy);
    free(s.vz);
    free(s.m);
    return bits(e);
}

static void times(int64_t n, const double *x, double *y, int transposed) {
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t j = 0; j < n; j++) {
            int64_t s = i + j;
            int64_t t = (s * (s + 1) >> 1) + (transposed ? j : i) + 1;
            sum += 1.0 / t * x[j];
        }
        y[i] = sum;
    }
}

static double dot(int64_t n, const double *x, const double *y) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

uint64_t kernel_spectral_norm_arr(args_t args) {
    int64_t n = args[0];
    double *u = calloc(n, sizeof *u), *v = calloc(n, sizeof *v), *t = calloc(n, sizeof *t);
    for (int64_t i = 0; i < n; i++)
        u[i] = 1;
    for (int k = 0; k < 10; k++) {
        times(n, u, t, 0);
        times(n, t, v, 1);
        times(n, v, t, 0);
        times(n, t, u, 1);
    }
    double norm = sqrt(dot(n, u, v) / dot(n, v, v));
    free(u);
    free(v);
    free(t);
    return bits(norm);
}

/* A hash table with linear probing, at most three quarters full. */
struct map {
    int64_t *keys, *values;
    uint8_t *used;
    uint64_t mask, len;
};

static void map_new(struct map *m, uint64_t capacity) {
    m->keys = malloc(capacity * sizeof *m->keys);
    m->values = malloc(capacity * sizeof *m->values);
    m->used = calloc(capacity, 1);
    m->mask = capacity - 1;
    m->len = 0;
}

static void map_free(struct map *m) {
    free(m->keys);
    free(m->values);
    free(m->used);
}

static uint64_t map_find(const struct map *m, int64_t key) {
    uint64_t h = key;
    h = (h ^ h >> 32) * UINT64_C(0x9E3779B97F4A7C15);
    h ^= h >> 29;
    uint64_t at = h & m->mask;
    while (m->used[at] && m->keys[at] != key)
        at = (at + 1) & m->mask;
    return at;
}

static void map_set(struct map *m, int64_t key, int64_t value) {
    if (m->len * 4 >= (m->mask + 1) * 3) {
        struct map old = *m;
        map_new(m, (old.mask + 1) * 2);
        for (uint64_t at = 0; at <= old.mask; at++)
            if (old.used[at])
                map_set(m, old.keys[at], old.values[at]);
        map_free(&old);
    }
    uint64_t at = map_find(m, key);
    m->len += !m->used[at];
    m->used[at] = 1;
    m->keys[at] = key;
    m->values[at] = value;
}

static int64_t map_get(const struct map *m, int64_t key) {
    uint64_t at = map_find(m, key);
    return m->used[at] ? m->values[at] : 0;
}

uint64_t kernel_map_fill_sum(args_t args) {
    const uint64_t spread = UINT64_C(2654435769);
    int64_t n = args[0];
    struct map m;
    map_new(&m, 8);
    for (int64_t i = 0; i < n; i++)
        map_set(&m, i * spread, i);
    uint64_t sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum = sum * 31 + map_get(&m, i * spread);
    map_free(&m);
    return sum;
}

struct node {
    struct node *left, *right;
};

static struct node *build(int64_t depth) {
    struct node *node = calloc(1, sizeof *node);
    if (depth > 0) {
        node->left = build(depth - 1);
        node->right = build(depth - 1);
    }
    return node;
}

static int64_t nodes(const struct node *tree) {
    return tree->left && tree->right ? nodes(tree->left) + nodes(tree->right) + 1 : 1;
}

static void drop(struct node *tree) {
    if (tree) {
        drop(tree->left);
        drop(tree->right);
        free(tree);
    }
}

static int64_t build_and_count(int64_t depth) {
    struct node *tree = build(depth);
    int64_t count = nodes(tree);
    drop(tree);
    return count;
}

uint64_t kernel_binary_trees(args_t args) {
    int64_t n = args[0], sum = build_and_count(n + 1);
    struct node *kept = build(n);
    for (int64_t depth = 4; depth <= n; depth += 2)
        for (int64_t i = INT64_C(1) << (n - depth + 4); i > 0; i--)
            sum += build_and_count(depth);
    sum += nodes(kept);
    drop(kept);
    return sum;
}

static void sort(int64_t *a, int64_t lo, int64_t hi) {
    while (lo < hi) {
        int64_t pivot = a[(lo + hi) >> 1], i = lo, j = hi;
        while (i <= j) {
            while (a[i] < pivot)
                i++;
            while (a[j] > pivot)
                j--;
            if (i > j)
                break;
            int64_t x = a[i];
            a[i] = a[j];
            a[j] = x;
            i++;
            j--;
        }
        if (j - lo < hi - i) {
            sort(a, lo, j);
            lo = i;
        } else {
            sort(a, i, hi);
            hi = j;
        }
    }
}

uint64_t kernel_quicksort(args_t args) {
    int64_t n = args[0];
    int64_t *a = malloc(n * sizeof *a);
    uint64_t x = 42, sum = 0;
    for (int64_t i = 0; i < n; i++) {
        x = x * MUL + INC;
        a[i] = (int64_t)x >> 16;
    }
    sort(a, 0, n - 1);
    for (int64_t i = 0; i < n; i++)
        sum += (uint64_t)a[i] * (i + 1);
    free(a);
    return sum;
}

/* Makes the border of a grid of w by w cells repeat the other side. */
static void border(uint8_t *a, int64_t w) {
    int64_t last = w - 2;
    for (int64_t i = 0; i < w; i++) {
        a[i] = a[last * w + i];
        a[(last + 1) * w + i] = a[w + i];
    }
    for (int64_t i = 0; i < w * w; i += w) {
        a[i] = a[i + last];
        a[i + last + 1] = a[i + 1];
    }
}

static void generation(const uint8_t *a, uint8_t *b, int64_t w) {
    for (int64_t row = 1; row < w - 1; row++) {
        int64_t up = (row - 1) * w, at = row * w, down = (row + 1) * w, stop = at + w - 2;
        int64_t left = a[up] + a[at] + a[down];
        up++;
        at++;
        down++;
        int64_t centre = a[at], middle = a[up] + centre + a[down];
        while (at <= stop) {
            up++;
            down++;
            int64_t next = a[at + 1], right = a[up] + next + a[down], all = left + middle + right;
            b[at] = ((all - centre) | centre) == 3;
            left = middle;
            middle = right;
            centre = next;
            at++;
        }
    }
}

uint64_t kernel_life(args_t args) {
    int64_t n = args[0], generations = args[1], w = n + 2, s = 42;
    uint8_t *a = calloc(w * w, 1), *b = calloc(w * w, 1);
    for (int64_t y = 1; y <= n; y++) {
        for (int64_t x = 1; x <= n; x++) {
            s = (s * 3877 + 29573) % 139968;
            a[y * w + x] = s < 46656;
        }
    }
    for (int64_t i = 0; n > 0 && i < generations; i++) {
        border(a, w);
        generation(a, b, w);
        uint8_t *c = a;
        a = b;
        b = c;
    }
    uint64_t h = 0;
    for (int64_t y = 1; y <= n; y++)
        for (int64_t x = 1; x <= n; x++)
            h = h * 3 + a[y * w + x];
    free(a);
    free(b);
    return h;
}

static const char POWER[] =
    "+++++++++++++[>+++++++++++++[>+++++++++++++[>+++++++++++++[>+++++++++++++[>+<-]<-]<-]<-]<-]>>>>>.>,[.,]";

/* The ops of a program, with the jump target of each. */
static void compile(const char *program, uint8_t *ops, int64_t *targets) {
    const char *names = "><+-.,[]";
    int64_t open[sizeof POWER], depth = 0, count = 0;
    for (; *program; program++) {
        const char *name = strchr(names, *program);
        if (!name)
            continue;
        int64_t target = 0;
        if (*name == '[')
            open[depth++] = count;
        if (*name == ']') {
            target = open[--depth];
            targets[target] = count;
        }
        ops[count] = name - names;
        targets[count++] = target;
    }
    ops[count] = 8;
}

struct bytes {
    uint8_t *at;
    int64_t len, capacity;
};

static void push(struct bytes *b, uint8_t byte) {
    if (b->len == b->capacity) {
        b->capacity = b->capacity ? b->capacity * 2 : 8;
        b->at = realloc(b->at, b->capacity);
    }
    b->at[b->len++] = byte;
}

static void interpret(const uint8_t *ops, const int64_t *targets, const struct bytes *input, struct bytes *out) {
    uint8_t *tape = calloc(30000, 1);
    int64_t pc = 0, head = 0, from = 0;
    for (;;) {
        switch (ops[pc++]) {
        case 0:
            head++;
            break;
        case 1:
            head--;
            break;
        case 2:
            tape[head]++;
            break;
        case 3:
            tape[head]--;
            break;
        case 4:
            push(out, tape[head]);
            break;
        case 5:
            tape[head] = from < input->len ? input->at[from] : 0;
            from++;
            break;
        case 6:
            if (tape[head] == 0)
                pc = targets[pc - 1] + 1;
            break;
        case 7:
            if (tape[head] != 0)
                pc = targets[pc - 1] + 1;
            break;
        default:
            free(tape);
            return;
        }
    }
}

uint64_t kernel_brainfuck(args_t args) {
    int64_t n = args[0], sum = 0;
    uint8_t ops[sizeof POWER];
    int64_t targets[sizeof POWER];
    struct bytes input = {0}, out = {0};
    compile(POWER, ops, targets);
    for (int64_t i = 0; i < n; i++) {
        interpret(ops, targets, &input, &out);
        push(&input, '+');
    }
    for (int64_t i = 0; i < out.len; i++)
        sum += out.at[i];
    free(input.at);
    free(out.at);
    return sum;
}
