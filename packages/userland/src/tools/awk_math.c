/* The elementary functions awk needs: argument reduction and series, good to about 1e-15. */
#include "awk.h"

static const double pi = 3.14159265358979323846, ln2 = 0.69314718055994530942;

double awk_exp(double x) {
  if (x > 709.8) return __builtin_inf();
  if (x < -745) return 0;
  long k = (long)(x / ln2 + (x < 0 ? -0.5 : 0.5));
  double r = x - (double)k * 6.93147180369123816490e-01 - (double)k * 1.90821492927058770002e-10, term = 1, sum = 1;
  for (int i = 1; i < 20; i++) sum += term *= r / i;
  for (; k > 0; k--) sum *= 2;
  for (; k < 0; k++) sum /= 2;
  return sum;
}

double awk_log(double x) {
  if (x < 0) return __builtin_nan("");
  if (x == 0) return -__builtin_inf();
  if (x != x || x > 1.7e308) return x;
  int k = 0;
  while (x > 1.4142135623730951) x /= 2, k++;
  while (x < 0.70710678118654752) x *= 2, k--;
  double s = (x - 1) / (x + 1), square = s * s, power = s, sum = 0;
  for (int i = 1; i < 40; i += 2, power *= square) sum += power / i;
  return 2 * sum + (double)k * ln2;
}

double awk_sin(double x) {
  if (x != x || x - x != 0) return __builtin_nan("");
  double turns = x / (2 * pi);
  if (turns > 1e15 || turns < -1e15) return 0;
  x -= (double)(long)turns * 2 * pi;
  if (x > pi) x -= 2 * pi;
  if (x < -pi) x += 2 * pi;
  if (x > pi / 2) x = pi - x;
  if (x < -pi / 2) x = -pi - x;
  double term = x, sum = x;
  for (int i = 1; i < 14; i++) sum += term *= -x * x / (2 * i * (2 * i + 1));
  return sum;
}
double awk_cos(double x) { return awk_sin(x + pi / 2); }

static double arctangent(double x) {
  if (x < 0) return -arctangent(-x);
  if (x > 1) return pi / 2 - arctangent(1 / x);
  /* Two halvings of the angle bring x below 0.2. */
  double scale = 1;
  for (int i = 0; i < 2; i++, scale *= 2) x = x / (1 + __builtin_sqrt(1 + x * x));
  double square = x * x, power = x, sum = 0;
  for (int i = 1; i < 40; i += 2, power *= -square) sum += power / i;
  return sum * scale;
}
double awk_atan2(double y, double x) {
  if (x > 0) return arctangent(y / x);
  if (x < 0) return y >= 0 ? arctangent(y / x) + pi : arctangent(y / x) - pi;
  return y > 0 ? pi / 2 : y < 0 ? -pi / 2 : 0;
}

double awk_pow(double x, double y) {
  long n = y > -1e9 && y < 1e9 ? (long)y : 0;
  if ((double)n == y) { /* exact for whole exponents */
    double result = 1, base = x;
    for (unsigned long k = (unsigned long)(n < 0 ? -n : n); k; k >>= 1, base *= base)
      if (k & 1) result *= base;
    return n < 0 ? 1 / result : result;
  }
  if (x == 0) return 0;
  return awk_exp(y * awk_log(x));
}
