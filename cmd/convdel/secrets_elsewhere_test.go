package main

import (
	"strings"
	"testing"
)

// TestPromise7_SecretsInTheWrongPlace: a secret that is set where its file's name belongs, or pasted into a setting, is in no error. A
// path is, if its first element exists.
func TestPromise7_SecretsInTheWrongPlace(t *testing.T) {
	t.Parallel()
	const url, key = "rediss://:" + testPassword + "@redis:6379/0", "-----BEGIN PRIVATE KEY-----\n" + testSecretKey + "\n-----END PRIVATE KEY-----\n"
	asFiles := required().with(environment{imSecretKey.file(): testSecretKey, kafkaPassword.file(): testPassword, redisURL.file(): url})
	elsewhere := required().with(environment{imSecretKey.file(): "/proc/self/none"})
	delete(asFiles, string(imSecretKey))
	delete(elsewhere, string(imSecretKey))
	files := []string{"--quota=redis", "--kafka-sasl=plain", "--kafka-username=u", "--kafka-tls"}
	for _, c := range []struct {
		env  environment
		args []string
		want string
	}{
		{asFiles, files, "CONVDEL_IM_SECRET_KEY_FILE is "},
		{asFiles.with(environment{imSecretKey.file(): "/" + testSecretKey}), files, "CONVDEL_KAFKA_PASSWORD_FILE is "},
		{asFiles.with(environment{redisURL.file(): "redis://" + testPassword}), files, "CONVDEL_REDIS_URL_FILE is "},
		{elsewhere, nil, `"/proc/self/none"`},
		{required(), []string{"--kafka-tls", "--kafka-ca-file=" + key}, "--kafka-ca-file"},
		{required(), []string{"--kafka-tls", "--kafka-key-file=" + key}, "--kafka-key-file"},
		{required(), []string{"--kafka-tls", "--kafka-cert-file=signals_test.go", "--kafka-key-file=" + key}, "--kafka-cert-file"},
		{required(), []string{"--im-endpoint=https://u:a@" + testPassword + "?x@host"}, "--im-endpoint"},
		{required(), []string{"--im-endpoint=https://host/?a=b@c&usersig=" + testSecretKey}, "--im-endpoint"},
		{required(), []string{"CONVDEL_KAFKA_PASSWORD=" + testPassword}, "unexpected argument CONVDEL_KAFKA_PASSWORD=…"},
		{required(), []string{strings.Repeat("0123456789abcdef", 4)}, "unexpected argument ***"},
	} {
		run := invoke(t, c.env, "", append([]string{"run"}, c.args...)...)
		if run.status != exitUsage || !strings.Contains(run.stderr, c.want) {
			t.Errorf("%q: status %d, stderr %q, want %q", c.args, run.status, run.stderr, c.want)
		}
		noSecrets(t, run.stderr)
	}
}
