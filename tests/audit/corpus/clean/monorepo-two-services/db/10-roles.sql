CREATE DATABASE platform;
CREATE ROLE accounts LOGIN PASSWORD 'hunter2-canary';
CREATE ROLE billing LOGIN PASSWORD 'hunter2-canary';
