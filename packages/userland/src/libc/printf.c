/*
 * printf family: d i u o x X c s p f F e E g G %, flags "-+ 0#", width and precision (also *),
 * lengths hh h l ll z j t. Doubles are converted exactly, by arithmetic on base-1e9 digits.
 */
#include "libc.h"

typedef struct Sink {
  FILE *file;  /* or: */
  char *to;
  size_t room; /* bytes left in `to`, including the NUL */
  size_t total;
} Sink;

static void put(Sink *k, const char *s, size_t n) {
  k->total += n;
  if (k->file) {
    fwrite(s, n, k->file);
  } else if (k->room > 1) {
    size_t m = n < k->room ? n : k->room - 1;
    memcpy(k->to, s, m);
    k->to += m;
    k->room -= m;
  }
}
static void pad(Sink *k, int c, int n) {
  char fill[32];
  if (n <= 0) return;
  memset(fill, c, sizeof fill);
  for (; n > 0; n -= 32) put(k, fill, n < 32 ? (size_t)n : 32);
}

typedef struct { bool left, plus, space, zero, alt; int width, precision; } Spec;

/* prefix is a sign or 0x; body is digits; zeros are inserted between the two. */
static void put_number(Sink *k, const Spec *sp, const char *prefix, const char *body, size_t n, int zeros) {
  int length = (int)(strlen(prefix) + n) + zeros;
  int room = sp->width - length;
  if (!sp->left && !sp->zero) pad(k, ' ', room);
  put(k, prefix, strlen(prefix));
  if (!sp->left && sp->zero) pad(k, '0', room);
  pad(k, '0', zeros);
  put(k, body, n);
  if (sp->left) pad(k, ' ', room);
}

static void put_integer(Sink *k, Spec *sp, uint64_t v, bool negative, int conv) {
  char digits[24], *p = digits + sizeof digits;
  unsigned base = conv == 'o' ? 8 : (conv | 32) == 'x' || conv == 'p' ? 16 : 10;
  const char *set = conv == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
  const char *prefix = negative ? "-" : sp->plus ? "+" : sp->space ? " " : "";
  if (conv != 'd') prefix = "";
  if (base == 16 && (conv == 'p' || (sp->alt && v))) prefix = conv == 'X' ? "0X" : "0x";
  for (uint64_t x = v; x; x /= base) *--p = set[x % base];
  int n = (int)(digits + sizeof digits - p);
  int zeros = sp->precision < 0 ? (v ? 0 : 1) : sp->precision - n;
  if (conv == 'o' && sp->alt && zeros <= 0) zeros = 1;
  if (sp->precision >= 0) sp->zero = false;
  put_number(k, sp, prefix, p, (size_t)n, zeros < 0 ? 0 : zeros);
}

/* Decimal digits of a finite v > 0: exact integer and fraction parts, base 1e9 limbs. */
enum { LIMBS = 160, POINT = 36 }; /* limbs [0, POINT) hold the integer part */
static void to_decimal(double v, uint32_t limb[LIMBS]) {
  union { double d; uint64_t u; } bits = {.d = v};
  int exponent = (int)(bits.u >> 52 & 0x7ff);
  uint64_t mantissa = bits.u & ((1ul << 52) - 1);
  if (exponent) mantissa |= 1ul << 52;
  else exponent = 1;
  exponent -= 1075; /* v = mantissa * 2^exponent */
  memset(limb, 0, LIMBS * sizeof *limb);
  for (int i = POINT - 1; mantissa; i--, mantissa /= 1000000000) limb[i] = (uint32_t)(mantissa % 1000000000);
  for (; exponent > 0; exponent--) {
    uint32_t carry = 0;
    for (int i = POINT - 1; i >= 0; i--) {
      uint32_t x = limb[i] * 2 + carry;
      carry = x >= 1000000000;
      limb[i] = carry ? x - 1000000000 : x;
    }
  }
  for (; exponent < 0; exponent++) {
    uint32_t carry = 0;
    for (int i = 0; i < LIMBS; i++) {
      uint32_t x = limb[i];
      limb[i] = x / 2 + (carry ? 500000000 : 0);
      carry = x & 1;
    }
  }
}

static void put_double(Sink *k, Spec *sp, double v, int conv) {
  bool upper = isupper(conv);
  int kind = tolower(conv);
  const char *sign = __builtin_signbit(v) ? "-" : sp->plus ? "+" : sp->space ? " " : "";
  if (v != v || v - v != 0) {
    sp->zero = false;
    put_number(k, sp, sign, v != v ? (upper ? "NAN" : "nan") : upper ? "INF" : "inf", 3, 0);
    return;
  }
  if (v < 0) v = -v;
  int precision = sp->precision < 0 ? 6 : sp->precision;
  uint32_t limb[LIMBS];
  to_decimal(v, limb);
  /* All digits as text: POINT*9 before the point. */
  enum { BEFORE = POINT * 9, ALL = LIMBS * 9 };
  char digit[1 + ALL]; /* digit[0] takes a carry out of the top */
  digit[0] = 0;
  for (int i = 0; i < LIMBS; i++)
    for (int j = 8; j >= 0; j--, limb[i] /= 10) digit[1 + i * 9 + j] = (char)(limb[i] % 10);
  char *point = digit + 1 + BEFORE;
  char *first = digit;
  while (first < digit + ALL && !*first) first++;
  int exp10 = v == 0 ? 0 : first < point ? (int)(point - first) - 1 : -(int)(first - point) - 1;
  if (kind == 'g' && precision == 0) precision = 1;
  /* Last kept digit, then round half to even. */
  char *last = kind == 'f' ? point + precision - 1 : (v == 0 ? point - 1 : first) + precision - (kind == 'g');
  if (last < digit + ALL) {
    char *next = last + 1;
    bool up = *next > 5;
    if (*next == 5) {
      up = *last & 1;
      for (char *q = next + 1; q <= digit + ALL; q++)
        if (*q) up = true;
    }
    memset(next, 0, (size_t)(digit + 1 + ALL - next));
    for (char *q = last; up; q--) {
      *q = (char)(*q + 1);
      if ((up = *q == 10)) *q = 0;
      else if (q < first) first = q;
    }
    if (v != 0 && kind != 'f') exp10 = first < point ? (int)(point - first) - 1 : -(int)(first - point) - 1;
  }
  Buf out = {0};
  bool strip = kind == 'g' && !sp->alt;
  if (kind == 'g') {
    if (exp10 < -4 || exp10 >= precision) kind = 'e', precision--;
    else kind = 'f', precision -= exp10 + 1;
  }
  char *from = kind == 'e' ? (v == 0 ? point - 1 : first) : first < point ? first : point - 1;
  char *whole_end = kind == 'e' ? from + 1 : point;
  for (char *q = from; q < whole_end; q++) buf_char(&out, '0' + *q);
  if (precision > 0 || sp->alt) buf_char(&out, '.');
  for (int i = 0; i < precision; i++) buf_char(&out, whole_end + i < digit + 1 + ALL ? '0' + whole_end[i] : '0');
  if (strip && memchr(out.data, '.', out.len)) {
    while (out.data[out.len - 1] == '0') out.len--;
    if (out.data[out.len - 1] == '.') out.len--;
  }
  if (kind == 'e') {
    int e = exp10 < 0 ? -exp10 : exp10;
    buf_char(&out, upper ? 'E' : 'e');
    buf_char(&out, exp10 < 0 ? '-' : '+');
    if (e >= 100) buf_char(&out, '0' + e / 100);
    buf_char(&out, '0' + e / 10 % 10);
    buf_char(&out, '0' + e % 10);
  }
  put_number(k, sp, sign, out.data, out.len, 0);
  buf_free(&out);
}

static void put_string(Sink *k, const Spec *sp, const char *s) {
  if (!s) s = "(null)";
  int n = (int)(sp->precision < 0 ? strlen(s) : strnlen(s, (size_t)sp->precision));
  if (!sp->left) pad(k, ' ', sp->width - n);
  put(k, s, (size_t)n);
  if (sp->left) pad(k, ' ', sp->width - n);
}

static void format(Sink *k, const char *f, va_list ap) {
  while (*f) {
    const char *run = strchrnul(f, '%');
    if (run != f) put(k, f, (size_t)(run - f));
    f = run;
    if (!*f++) break;
    Spec sp = {.precision = -1};
    for (;; f++) {
      if (*f == '-') sp.left = true;
      else if (*f == '+') sp.plus = true;
      else if (*f == ' ') sp.space = true;
      else if (*f == '0') sp.zero = true;
      else if (*f == '#') sp.alt = true;
      else break;
    }
    if (*f == '*') {
      sp.width = va_arg(ap, int);
      if (sp.width < 0) sp.left = true, sp.width = -sp.width;
      f++;
    } else {
      while (isdigit(*f)) sp.width = sp.width * 10 + (*f++ - '0');
    }
    if (*f == '.') {
      sp.precision = 0;
      if (*++f == '*') {
        sp.precision = va_arg(ap, int);
        f++;
      } else {
        while (isdigit(*f)) sp.precision = sp.precision * 10 + (*f++ - '0');
      }
    }
    int size = 4;
    for (;; f++) {
      if (*f == 'l' || *f == 'z' || *f == 'j' || *f == 't') size = 8;
      else if (*f == 'h') size = size == 2 ? 1 : 2;
      else break;
    }
    int conv = *f ? *f++ : '%';
    switch (conv) {
      case 'd':
      case 'i': {
        long v = size == 8 ? va_arg(ap, long) : va_arg(ap, int);
        if (size == 2) v = (short)v;
        if (size == 1) v = (signed char)v;
        put_integer(k, &sp, v < 0 ? -(uint64_t)v : (uint64_t)v, v < 0, 'd');
        break;
      }
      case 'u': case 'o': case 'x': case 'X': {
        uint64_t v = size == 8 ? va_arg(ap, unsigned long) : va_arg(ap, unsigned);
        if (size == 2) v = (uint16_t)v;
        if (size == 1) v = (uint8_t)v;
        put_integer(k, &sp, v, false, conv);
        break;
      }
      case 'p': put_integer(k, &sp, (uint64_t)va_arg(ap, void *), false, 'p'); break;
      case 'c': {
        char c[2] = {(char)va_arg(ap, int), 0};
        if (!sp.left) pad(k, ' ', sp.width - 1);
        put(k, c, 1);
        if (sp.left) pad(k, ' ', sp.width - 1);
        break;
      }
      case 's': put_string(k, &sp, va_arg(ap, const char *)); break;
      case 'f': case 'F': case 'e': case 'E': case 'g': case 'G': put_double(k, &sp, va_arg(ap, double), conv); break;
      default: put(k, f - 1, 1); break;
    }
  }
}

int vfprintf(FILE *f, const char *fmt, va_list ap) {
  /* stderr output is gathered first, so that one message is one write. */
  if (f == stderr) {
    char text[512];
    int n = vsnprintf(text, sizeof text, fmt, ap);
    fwrite(text, n < (int)sizeof text ? (size_t)n : sizeof text - 1, f);
    return n;
  }
  Sink k = {.file = f};
  format(&k, fmt, ap);
  return (int)k.total;
}
int vsnprintf(char *to, size_t size, const char *fmt, va_list ap) {
  char none[1];
  Sink k = {.to = size ? to : none, .room = size};
  format(&k, fmt, ap);
  if (size) *k.to = 0;
  return (int)k.total;
}
int printf(const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  int n = vfprintf(stdout, fmt, ap);
  va_end(ap);
  return n;
}
int fprintf(FILE *f, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  int n = vfprintf(f, fmt, ap);
  va_end(ap);
  return n;
}
int snprintf(char *to, size_t size, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(to, size, fmt, ap);
  va_end(ap);
  return n;
}
char *asprintf(const char *fmt, ...) {
  va_list ap, again;
  va_start(ap, fmt);
  va_copy(again, ap);
  int n = vsnprintf(NULL, 0, fmt, ap);
  char *s = malloc((size_t)n + 1);
  vsnprintf(s, (size_t)n + 1, fmt, again);
  va_end(again);
  va_end(ap);
  return s;
}
