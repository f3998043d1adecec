package imclient_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"convdel/imclient"
)

func TestNewNamesEveryWrongSetting(t *testing.T) {
	t.Parallel()
	_, err := imclient.New(imclient.Config{
		Endpoint: "console.tim.qq.com", SDKAppID: -1, SigLifetime: time.Second, CallTimeout: -1, MaxConcurrent: -1,
	})
	want := []string{
		`im-endpoint: "console.tim.qq.com": want scheme and host alone, such as https://console.tim.qq.com`,
		`im-sdkappid: "-1": want the app's positive number in the vendor's console`,
		`im-identifier: missing: want the account of an app administrator`,
		`IM_SECRET_KEY: missing: want the app's secret key, or IM_SECRET_KEY_FILE that holds it`,
		`sig-lifetime: "1s": want 1m to 87600h`,
		`call-timeout: "-1ns": want more than 0s`,
		`max-concurrent: "-1": want at least 1`,
	}
	if got := strings.Split(err.Error(), "\n"); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	var setting *imclient.ConfigError
	if !errors.As(err, &setting) || setting.Setting != "im-endpoint" {
		t.Errorf("no ConfigError in %v", err)
	}
}

func goodConfig() imclient.Config {
	return imclient.Config{
		Endpoint: "https://console.tim.qq.com", SDKAppID: appID, Identifier: identifier,
		SecretKey: imclient.StaticKey(secretKey),
	}
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"https://console.tim.qq.com", "https://console.tim.qq.com/", "HTTPS://adminapiger.im.qcloud.com:443",
		"http://127.0.0.1:8081", "http://[::1]:80", "http://127.9.8.7", "http://[::ffff:127.0.0.1]", "http://LocalHost.:8081",
	} {
		cfg := goodConfig()
		cfg.Endpoint = good
		if _, err := imclient.New(cfg); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "https://", "https:///v4", "ftp://host", "host:443", "//host", "https://host/v4", "https://host?a=b",
		"https://host?", "https://host#a", "https://u:" + secretKey + "@host", "https://h\x7f/" + secretKey,
		"https://host/v4?usersig=" + secretKey, "https://host:port", secretKey,
	} {
		cfg := goodConfig()
		cfg.Endpoint = bad
		_, err := imclient.New(cfg)
		var setting *imclient.ConfigError
		if !errors.As(err, &setting) || setting.Setting != "im-endpoint" {
			t.Errorf("%q: got %v", bad, err)
			continue
		}
		if strings.Contains(err.Error(), secretKey) {
			t.Errorf("%q is shown: %v", bad, err)
		}
	}
}

// TestNothingPrintsTheKey: neither methods for printing nor reflection show the key.
func TestNothingPrintsTheKey(t *testing.T) {
	t.Parallel()
	cfg := goodConfig()
	cfg.Endpoint = "https://u:" + secretKey + "@host"
	_, client := startSim(t, simConfig())
	if err := client.DeleteConversation(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	file := imclient.KeyFile("/run/secrets/im")
	// fmt calls no methods of an unexported field but reads it by reflection.
	type holder struct {
		cfg    imclient.Config
		client *imclient.Client
		keys   imclient.KeySource
	}
	var log logBuffer
	for name, value := range map[string]any{
		"config": cfg, "config pointer": &cfg, "client": client, "key": cfg.SecretKey, "key file": file,
		"holder": holder{goodConfig(), client, cfg.SecretKey}, "slice": []any{cfg, client, cfg.SecretKey},
	} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			checkNoSecret(t, name+" "+format, fmt.Sprintf(format, value), secretKey, client.Sig())
		}
		log.logger().Info("value", slog.Any("value", value))
	}
	checkNoSecret(t, "log", log.String(), secretKey, client.Sig())
	if text := client.String(); !strings.Contains(text, identifier) || !strings.Contains(text, "127.0.0.1") {
		t.Errorf("client shows too little: %s", text)
	}
	if text := fmt.Sprint(file); !strings.Contains(text, "/run/secrets/im") {
		t.Errorf("key file shows too little: %s", text)
	}
}

// TestPlainHTTPToAnotherHostIsRefused: the signature would be readable on the way.
func TestPlainHTTPToAnotherHostIsRefused(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{
		"http://imsim", "HTTP://console.tim.qq.com", "http://10.0.0.7:8081", "http://[fe80::1%25eth0]", "http://0.0.0.0:80",
		"http://localhost.example.com", "http://127.0.0.1.example.com", "http://2130706433",
	} {
		cfg := goodConfig()
		cfg.Endpoint = endpoint
		_, err := imclient.New(cfg)
		setting, ok := errors.AsType[*imclient.ConfigError](err)
		if !ok || setting.Setting != "im-endpoint" || !strings.Contains(err.Error(), "--insecure") {
			t.Errorf("%s: got %v", endpoint, err)
		}
		cfg.Insecure = true
		if _, err := imclient.New(cfg); err != nil {
			t.Errorf("%s, insecure: %v", endpoint, err)
		}
	}
}

func TestWarnsOfPlainHTTP(t *testing.T) {
	t.Parallel()
	for endpoint, want := range map[string]bool{
		"http://imsim:8081": true, "https://imsim": false, "http://localhost:8081": false, "http://127.0.0.1": false,
	} {
		var log logBuffer
		cfg := goodConfig()
		cfg.Endpoint, cfg.Logger, cfg.Insecure = endpoint, log.logger(), true
		if _, err := imclient.New(cfg); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(log.String(), "not https"); got != want {
			t.Errorf("%s: warned %v, want %v", endpoint, got, want)
		}
	}
}
