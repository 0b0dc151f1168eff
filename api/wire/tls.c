/* See tls.h. The options follow RFC 9325 and what OpenSSL and libevent 2.1 need beyond it. */
#include "api/wire/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buffer.h"

struct MrTls
{
	char *certificate;
	char *key;
	int minimum;
	pthread_mutex_t lock;
	SSL_CTX *context;  /* under the lock: of new connections */
	int64_t expires_s; /* under the lock */
	_Atomic int64_t refused;
};

static SSL_CTX *read_files(const MrTlsFiles *files, char *error, size_t error_size);
static bool load(SSL_CTX *context, const MrTlsFiles *files, char *error, size_t error_size);
static void set_up(SSL_CTX *context, int minimum);
static int no_password(char *out, int size, int writing, void *arg);
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
						   const unsigned char *in, unsigned in_len, void *arg);
static const char *reason(void);
static int64_t expiry(SSL_CTX *context);

bool
mr_tls_check(const MrTlsFiles *files, char *error, size_t error_size)
{
	SSL_CTX *context;

	if (*files->certificate == '\0' && *files->key == '\0')
		return true;
	if (*files->certificate == '\0' || *files->key == '\0')
	{
		snprintf(error, error_size, "--tls-%s needs --tls-%s, too",
				 *files->key == '\0' ? "certificate" : "key",
				 *files->key == '\0' ? "key" : "certificate");
		return false;
	}
	context = read_files(files, error, error_size);
	SSL_CTX_free(context);
	return context != NULL;
}

MrTls *
mr_tls_new(const MrTlsFiles *files, char *error, size_t error_size)
{
	SSL_CTX *context = read_files(files, error, error_size);
	MrTls *tls;

	if (context == NULL)
		return NULL;
	tls = mr_calloc(1, sizeof(*tls));
	tls->certificate = mr_strdup(files->certificate);
	tls->key = mr_strdup(files->key);
	tls->minimum = files->minimum;
	pthread_mutex_init(&tls->lock, NULL);
	tls->context = context;
	tls->expires_s = expiry(context);
	return tls;
}

bool
mr_tls_read(MrTls *tls, char *error, size_t error_size)
{
	const MrTlsFiles files = {tls->certificate, tls->key, tls->minimum};
	SSL_CTX *context = read_files(&files, error, error_size);
	SSL_CTX *before;

	if (context == NULL)
		return false;
	pthread_mutex_lock(&tls->lock);
	before = tls->context;
	tls->context = context;
	tls->expires_s = expiry(context);
	pthread_mutex_unlock(&tls->lock);
	SSL_CTX_free(before); /* connections that use it hold it */
	return true;
}

SSL *
mr_tls_begin(MrTls *tls)
{
	SSL *ssl;

	pthread_mutex_lock(&tls->lock);
	ssl = SSL_new(tls->context);
	pthread_mutex_unlock(&tls->lock);
	return ssl;
}

void
mr_tls_count_refused(MrTls *tls)
{
	atomic_fetch_add_explicit(&tls->refused, 1, memory_order_relaxed);
}

void
mr_tls_state(MrTls *tls, MrTlsState *state)
{
	pthread_mutex_lock(&tls->lock);
	state->expires_s = tls->expires_s;
	pthread_mutex_unlock(&tls->lock);
	state->refused = atomic_load(&tls->refused);
}

void
mr_tls_free(MrTls *tls)
{
	if (tls == NULL)
		return;
	SSL_CTX_free(tls->context);
	pthread_mutex_destroy(&tls->lock);
	free(tls->certificate);
	free(tls->key);
	free(tls);
}

static SSL_CTX *
read_files(const MrTlsFiles *files, char *error, size_t error_size)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	ERR_clear_error();
	if (context == NULL)
	{
		snprintf(error, error_size, "TLS could not be set up: %s", reason());
		return NULL;
	}
	set_up(context, files->minimum);
	if (!load(context, files, error, error_size))
	{
		SSL_CTX_free(context);
		context = NULL;
	}
	ERR_clear_error();
	return context;
}

static bool
load(SSL_CTX *context, const MrTlsFiles *files, char *error, size_t error_size)
{
	int64_t expires_s;

	if (SSL_CTX_use_certificate_chain_file(context, files->certificate) != 1)
		snprintf(error, error_size,
				 "--tls-certificate is \"%.200s\", expected a file in PEM format with the "
				 "certificate and those that signed it: %s",
				 files->certificate, reason());
	else if (SSL_CTX_use_PrivateKey_file(context, files->key, SSL_FILETYPE_PEM) != 1)
		snprintf(error, error_size,
				 "--tls-key is \"%.200s\", expected a file in PEM format with the private key of "
				 "the certificate, without a password: %s",
				 files->key, reason());
	else if (SSL_CTX_check_private_key(context) != 1)
		/* one of the same algorithm was compared above */
		snprintf(error, error_size,
				 "--tls-key is \"%.200s\", expected the private key of the certificate in "
				 "\"%.200s\": it is of another algorithm",
				 files->key, files->certificate);
	else if (expires_s = expiry(context), expires_s <= (int64_t) time(NULL))
		snprintf(error, error_size,
				 "the certificate in \"%.200s\" has expired: expected one that is valid",
				 files->certificate);
	else
		return true;
	return false;
}

static void
set_up(SSL_CTX *context, int minimum)
{
	SSL_CTX_set_min_proto_version(context, minimum == MR_TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
	SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
									 SSL_OP_CIPHER_SERVER_PREFERENCE);
	/*
	 * An idle connection keeps no buffers of 34 kB. Partial writes stay off: libevent 2.1 would go on with the next
	 * part of an answer after half of one.
	 */
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
	/* tickets let a client resume its session, and need no memory here */
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_default_passwd_cb(context, no_password);
	SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
}

/* Nobody is there to be asked. */
static int
no_password(char *out, int size, int writing, void *arg)
{
	(void) out;
	(void) size;
	(void) writing;
	(void) arg;
	return -1;
}

/* A client that offers protocols, and none of ours among them, would not understand an answer (RFC 7301, section 3.2). */
static int
choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
				const unsigned char *in, unsigned in_len, void *arg)
{
	static const unsigned char ours[] = "\x08http/1.1\x08http/1.0";
	unsigned char *found;

	(void) ssl;
	(void) arg;
	if (SSL_select_next_proto(&found, out_len, ours, sizeof(ours) - 1, in, in_len) !=
		OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = found;
	return SSL_TLSEXT_ERR_OK;
}

/* The first of OpenSSL's errors is the cause; what follows names what was attempted. */
static const char *
reason(void)
{
	unsigned long code = ERR_peek_error();

	if (ERR_SYSTEM_ERROR(code))
		return strerror(ERR_GET_REASON(code));
	return code != 0 && ERR_reason_error_string(code) != NULL ? ERR_reason_error_string(code)
															  : "no reason is known";
}

static int64_t
expiry(SSL_CTX *context)
{
	const X509 *certificate = SSL_CTX_get0_certificate(context);
	struct tm at;

	if (certificate == NULL || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &at) != 1)
		return 0;
	return (int64_t) timegm(&at);
}
